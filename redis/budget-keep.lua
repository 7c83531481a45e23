-- Confirms units of concurrency that calls in the air hold.
-- KEYS[1] who holds them, until when; ARGV[1] ms until a unit that nobody
-- confirms is free again, then who holds one, each.

local lease = tonumber(ARGV[1])
local time = redis.call('TIME')
local ends = string.format('%.0f', tonumber(time[1]) * 1000
                                   + math.floor(tonumber(time[2]) / 1000)
                                   + lease)

for i = 2, #ARGV do
    redis.call('ZADD', KEYS[1], ends, ARGV[i])
end

redis.call('PEXPIRE', KEYS[1], lease)

return 0
