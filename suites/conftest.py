"""The fixtures of the suites, by module; everything else about a run is the plugin's."""

_MODULES = (
    "session",
    "migrations",
    "journeys",
    "links",
    "restarts",
    "secondary",
    "relocation",
    "nodes",
    "services",
    "policies",
    "strangers",
    "sidecars",
    "latecomers",
    "plugincalls",
    "rehearsals",
    "cniversions",
    "twinsidecars",
    "nomads",
    "rounds",
    "presence",
    "memoryrequests",
    "reregistered",
    "unpullable",
)
pytest_plugins = [f"fixtures.{module}" for module in _MODULES]
