-- A call of a shared budget is over, or, without a try, its turn is returned.
-- KEYS as for budget-take; ARGV: calls a minute, size of the bucket, quota,
-- who held the turn, 1 if a try was made.

local UNIT = 60000000

local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local quota = tonumber(ARGV[3])

redis.call('ZREM', KEYS[2], ARGV[4])

if ARGV[5] == '1' then
    return 0
end

if rate > 0 then
    local level = tonumber(redis.call('HGET', KEYS[1], 'level'))

    if level then
        level = math.min(level + UNIT, burst * UNIT)
        redis.call('HSET', KEYS[1], 'level', string.format('%.0f', level))
    end
end

if quota > 0 then
    local spent = tonumber(redis.call('HGET', KEYS[3], 'spent'))

    if spent and spent > 0 then
        redis.call('HSET', KEYS[3], 'spent', string.format('%.0f', spent - 1))
    end
end

return 0
