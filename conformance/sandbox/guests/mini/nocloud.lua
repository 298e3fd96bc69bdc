-- nocloud.lua SEED OUT: reads the NoCloud data under SEED and leaves under OUT what the boot scripts need:
--   early     shell commands for before the network (hostname, users, keys, files, bootcmd)
--   final     shell commands for the end (runcmd, a user-data script)
--   net/KEY   one NIC's configuration as shell variables; KEY is a MAC address or an interface name
-- Formats: cloud-init's user-data (cloud-config or a script), meta-data and network-config version 2.
local seed, out = arg[1], arg[2]
local yaml = require("lyaml")

local function read(name)
  local file = io.open(seed .. "/" .. name, "rb")
  if not file then return nil end
  local text = file:read("a")
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

local function parse(name, text)
  local fine, value = pcall(yaml.load, text)
  if fine and type(value) == "table" then return value end
  io.stderr:write(name .. ": " .. (fine and "not a mapping" or tostring(value)) .. "\n")
  return {}
end

local function quote(value) return "'" .. tostring(value):gsub("'", "'\\''") .. "'" end

local function items(value)
  if value == nil or value == yaml.null then return {} end
  if type(value) == "table" then return value end
  return { value }
end

local early, final = {}, {}
local function add(list, ...) list[#list + 1] = string.format(...) end

-- A command is one shell line, or a list that is one argument vector.
local function add_commands(list, commands)
  for _, command in ipairs(items(commands)) do
    if type(command) == "table" then
      local words = {}
      for _, word in ipairs(command) do words[#words + 1] = quote(word) end
      add(list, "%s", table.concat(words, " "))
    else
      add(list, "sh -c %s", quote(command))
    end
  end
end

local function add_keys(home, keys)
  for _, key in ipairs(items(keys)) do
    add(early, "mkdir -p -m 700 %s/.ssh && echo %s >>%s/.ssh/authorized_keys", home, quote(key), home)
  end
  add(early, "[ ! -f %s/.ssh/authorized_keys ] || chmod 600 %s/.ssh/authorized_keys", home, home)
end

local function add_password(name, password)
  add(early, "sed -i \"s|^%s:[^:]*:|%s:$(mkpasswd -m md5 %s):|\" /etc/passwd", name, name, quote(password))
end

local function add_user(user)
  if type(user) == "string" then user = { name = user } end
  if type(user) ~= "table" or not user.name or user.name == "default" then return end
  local name, home = user.name, "/root"
  if name ~= "fedora" and name ~= "root" then
    home = "/home/" .. name
    add(early, "grep -q ^%s: /etc/passwd || { mkdir -p %s; echo %s >>/etc/passwd; }", name, home,
      quote(name .. ":*:0:0::" .. home .. ":/bin/dash"))
  end
  add_keys(home, user.ssh_authorized_keys)
  if user.plain_text_passwd then add_password(name, user.plain_text_passwd) end
end

local function add_file(file, index)
  local source = string.format("%s/file.%d", out, index)
  write(source, tostring(file.content or ""))
  local encoding, decode = file.encoding or "text/plain", "cat"
  if encoding == "b64" or encoding == "base64" then decode = "base64 -d" end
  add(early, "mkdir -p \"$(dirname %s)\" && %s <%s >%s%s", quote(file.path), decode, source, file.append and ">" or "",
    quote(file.path))
  if file.permissions then add(early, "chmod %s %s", quote(file.permissions), quote(file.path)) end
end

local function add_host_key(keys)
  if not keys.ed25519_private then return end
  local source, target = out .. "/host_key", "/etc/dropbear/dropbear_ed25519_host_key"
  write(source, (keys.ed25519_private:gsub("%s+$", "")) .. "\n")
  add(early, "chmod 600 %s; dropbearconvert openssh dropbear %s %s >/dev/null 2>&1", source, source, target)
end

local function add_chpasswd(chpasswd)
  for _, user in ipairs(items(chpasswd.users)) do add_password(user.name, user.password) end
  local list = chpasswd.list
  if type(list) == "table" then list = table.concat(list, "\n") end
  for name, password in (list or ""):gmatch("([^:\n]+):([^\n]+)") do add_password(name, password) end
end

local function cloud_config(config)
  add_commands(early, config.bootcmd)
  if config.hostname then add(early, "echo %s >/etc/hostname", quote(config.hostname)) end
  for index, file in ipairs(items(config.write_files)) do add_file(file, index) end
  for _, user in ipairs(items(config.users)) do add_user(user) end
  if type(config.user) == "string" then add_user(config.user) end
  add_keys("/root", config.ssh_authorized_keys)
  if config.password then add_password(config.user or "fedora", config.password) end
  add_chpasswd(items(config.chpasswd))
  add_host_key(items(config.ssh_keys))
  add_commands(final, config.runcmd)
end

local function joined(list, each)
  local words = {}
  for _, item in ipairs(items(list)) do words[#words + 1] = each and each(item) or tostring(item) end
  return quote(table.concat(words, " "))
end

local function nic_settings(nic)
  local gateways, routes = { nic.gateway4, nic.gateway6 }, {}
  if nic.gateway4 == nil then gateways = { nic.gateway6 } end
  for _, route in ipairs(items(nic.routes)) do
    if route.to == "default" or route.to == "0.0.0.0/0" or route.to == "::/0" then
      gateways[#gateways + 1] = route.via
    else
      routes[#routes + 1] = route.to .. "," .. route.via
    end
  end
  local servers = items(nic.nameservers)
  return table.concat({
    "dhcp4=" .. (nic.dhcp4 == true and "yes" or ""),
    "dhcp6=" .. (nic.dhcp6 == true and "yes" or ""),
    "addresses=" .. joined(nic.addresses, function(item) return type(item) == "table" and next(item) or item end),
    "gateways=" .. joined(gateways),
    "routes=" .. joined(routes),
    "dns=" .. joined(servers.addresses),
    "search=" .. joined(servers.search),
    "mtu=" .. tostring(nic.mtu or ""),
    "rename=" .. quote(nic["set-name"] or ""),
  }, "\n") .. "\n"
end

local function network_config(config)
  config = config.network or config
  if tonumber(config.version or 2) ~= 2 then
    io.stderr:write("network-config: only version 2 is understood\n")
    return
  end
  os.execute("mkdir -p " .. out .. "/net")
  for name, nic in pairs(items(config.ethernets)) do
    local match = items(nic.match)
    local key = match.macaddress and match.macaddress:lower() or match.name or name
    write(out .. "/net/" .. key, nic_settings(nic))
  end
end

local meta = read("meta-data")
if meta then
  local hostname = parse("meta-data", meta)["local-hostname"]
  if hostname then add(early, "echo %s >/etc/hostname", quote(hostname)) end
end
local user = read("user-data")
if user and user:match("^#cloud%-config") then
  cloud_config(parse("user-data", user))
elseif user and user:match("^#!") then
  write(out .. "/user-script", user)
  add(final, "chmod +x %s/user-script && %s/user-script", out, out)
end
local network = read("network-config")
if network then network_config(parse("network-config", network)) end
write(out .. "/early", table.concat(early, "\n") .. "\n")
write(out .. "/final", table.concat(final, "\n") .. "\n")
