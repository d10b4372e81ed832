"""The scripts that the engine runs as one step each. Only the holder of the lease changes anything."""

from __future__ import annotations

ACQUIRE = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[1] then return 0 end
local epoch = math.max(tonumber(redis.call('GET', KEYS[3]) or '0'), tonumber(ARGV[2])) + 1
redis.call('SET', KEYS[3], epoch)
redis.call('SET', KEYS[1], epoch .. ' ' .. ARGV[3], 'PX', ARGV[4])
return epoch
"""
"""Take the lease (1) if nobody has it and the head (2) is still this; the epoch (3) from now on, 0 if not."""

REGAIN = """
local epoch = tonumber(redis.call('GET', KEYS[2]) or ARGV[4])
if redis.call('EXISTS', KEYS[1]) == 1 or epoch > tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1
"""
"""Take the lease (1) again if nobody has had it since this epoch (2); 1 if so. The last argument is the epoch if the
engine has forgotten it."""

PUBLISH = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local head = tonumber(string.match(redis.call('GET', KEYS[3]) or '', ' (%d+) ') or '0')
for index = 4, #ARGV, 2 do
    if tonumber(ARGV[index]) > head then
        redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], ARGV[index] .. '-0', 'm', ARGV[index + 1])
    end
end
redis.call('SET', KEYS[3], ARGV[2])
return 1
"""
"""Add batches to the stream (2) and set the head (3), if the lease (1) is this; batches up to the head are there."""

ANNOUNCE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if redis.call('GET', KEYS[3]) ~= ARGV[2] then redis.call('DEL', KEYS[2]) end
redis.call('SET', KEYS[3], ARGV[2])
return 1
"""
"""Set the head (3), if the lease (1) is this. Batches of another journal or of another past leave the stream (2)."""

WAITING = "return redis.call('EXISTS', unpack(KEYS))"
"""How many of these keys there are."""
