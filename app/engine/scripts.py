"""The scripts that the engine runs as one step each."""

RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
"""Keep a lease for longer if it has this value; 1 if so."""

RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""
"""Give a lease up if it has this value; 1 if so."""

ADD = """
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'm', ARGV[3])
if ARGV[2] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return id
"""
"""Add an entry to a stream that keeps about so many entries and expires if nothing is added for so long."""

ADD_WHILE_HELD = f"""
if redis.call('GET', KEYS[2]) ~= ARGV[4] then return '' end
{ADD}"""
"""The same, if a lease (2) still has this value; else the answer is empty."""

REPLACE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""
"""Keep a lease for longer under another value, if it has the first one; 1 if so."""

CLAIM = """
if redis.call('XDEL', KEYS[2], ARGV[2]) == 0 then return 'withdrawn' end
local lease = redis.call('GET', KEYS[1])
if not lease or not string.find(lease, ARGV[1], 1, true) then return 'lost' end
local now = redis.call('TIME')
local added = tonumber(string.match(ARGV[2], '^%d+'))
if now[1] * 1000 + math.floor(now[2] / 1000) - added > tonumber(ARGV[3]) then return 'late' end
return 'claimed'
"""
"""Take an entry out of a stream, once, for the session that holds the lease, unless the entry is older than so many
milliseconds by the engine's clock."""

LEASES = """
local leases = {}
for _, key in ipairs(KEYS) do
    local value = redis.pcall('GETRANGE', key, 0, ARGV[1])
    leases[#leases + 1] = type(value) == 'string' and value or ''
    leases[#leases + 1] = redis.call('PTTL', key)
end
return leases
"""
"""The value of each key, at most so many bytes of it, and for how many milliseconds it is kept; -2 for no key.

A key of another kind is an empty value: whoever may write one key must not keep the others from being read."""
