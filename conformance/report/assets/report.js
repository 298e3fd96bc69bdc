"use strict";
(() => {
  const root = document.documentElement;
  const rows = [...document.querySelectorAll(".row[data-filter]")];
  const families = [...document.querySelectorAll(".family")];
  const chips = [...document.querySelectorAll(".chip")];
  const search = document.getElementById("search");
  const expand = document.getElementById("expand");
  const nothing = document.getElementById("nothing");
  const theme = document.getElementById("theme");
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));

  const isOn = (chip) => chip.getAttribute("aria-pressed") === "true";
  const turn = (chip, on) => chip.setAttribute("aria-pressed", String(on));
  const shown = () => rows.filter((row) => !row.hidden);

  function apply() {
    const wanted = new Set(chips.filter(isOn).map((chip) => chip.dataset.filter));
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      row.hidden = !wanted.has(row.dataset.filter) || !words.every((word) => texts.get(row).includes(word));
    }
    for (const family of families) {
      family.hidden = ![...family.querySelectorAll(".row[data-filter]")].some((row) => !row.hidden);
    }
    nothing.hidden = shown().length > 0;
  }

  for (const chip of chips) {
    chip.addEventListener("click", () => {
      turn(chip, !isOn(chip));
      apply();
    });
    chip.addEventListener("dblclick", () => {
      for (const other of chips) turn(other, other === chip);
      apply();
    });
    chip.title = "Click to hide or show, double-click to show nothing else";
  }
  search.addEventListener("input", apply);
  expand.addEventListener("click", () => {
    const open = shown().some((row) => !row.open);
    for (const row of shown()) row.open = open;
    expand.textContent = open ? "Collapse all" : "Expand all";
  });
  theme.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  function reveal() {
    const row = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!row || !row.classList.contains("row")) return;
    row.hidden = false;
    row.closest(".family").hidden = false;
    row.open = true;
    row.scrollIntoView();
  }
  addEventListener("hashchange", reveal);

  for (const chip of chips) {
    if (chip.dataset.filter === "no-check" || chip.dataset.filter === "not-declared") turn(chip, false);
  }
  root.classList.add("live");
  theme.hidden = false;
  apply();
  if (!shown().length) {
    for (const chip of chips) turn(chip, true);
    apply();
  }
  reveal();
})();
