-- Takes a turn of a budget that nodes share, or says when to ask again.
-- KEYS[1] the bucket, KEYS[2] who holds units of concurrency, until when,
-- KEYS[3] the quota, KEYS[4] lives while the cloud wants no call.  ARGV: calls
-- a minute, size of the bucket, concurrency, quota (each 0: not limited), 1 if
-- it is by the month, who asks, ms until a unit that nobody confirms is free
-- again.
-- Returns 1 if the turn is taken, ms until it may be, the bucket's level, the
-- units held, the calls made in the period, ms the cloud wants no call.

local UNIT = 60000000

local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local concurrency, quota = tonumber(ARGV[3]), tonumber(ARGV[4])
local monthly, lease = tonumber(ARGV[5]), tonumber(ARGV[7])

local time = redis.call('TIME')
local now_s = tonumber(time[1])
local now_us = now_s * 1000000 + tonumber(time[2])
local now_ms = math.floor(now_us / 1000)

-- above 2^53 tostring() would round
local function text(n)
    return string.format('%.0f', n)
end

-- days from 1970-01-01 to the first of a month that is counted from there
local function month_start(month)
    month = month + 1970 * 12 - 2
    local year = math.floor(month / 12)
    return 365 * year + math.floor(year / 4) - math.floor(year / 100)
           + math.floor(year / 400)
           + math.floor((153 * (month % 12) + 2) / 5) - 719468
end

local wait_ms, level, held, spent = 0, burst * UNIT, 0, 0
local period = 0

if rate > 0 then
    local full = level
    local saved = redis.call('HMGET', KEYS[1], 'level', 'at')

    if saved[1] and saved[2] then
        level = math.min(tonumber(saved[1]), full)
        local passed = math.max(now_us - tonumber(saved[2]), 0)
        level = math.min(level + passed * rate, full)
    end

    if level < UNIT then
        wait_ms = math.ceil((UNIT - level) / rate / 1000)
    end
end

if concurrency > 0 then
    redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now_ms)

    -- who asks again has not heard the answer
    redis.call('ZREM', KEYS[2], ARGV[6])
    held = redis.call('ZCARD', KEYS[2])

    if held >= concurrency then
        wait_ms = math.max(wait_ms, 50)
    end
end

local paused = math.max(redis.call('PTTL', KEYS[4]), 0)
wait_ms = math.max(wait_ms, paused)

if quota > 0 then
    local next_s
    local days = math.floor(now_s / 86400)
    period = days

    if monthly == 1 then
        period = math.floor(days * 12 / 366)
        while month_start(period + 1) <= days do
            period = period + 1
        end
    end

    local saved = redis.call('HMGET', KEYS[3], 'period', 'spent', 'monthly')

    if saved[1] and tonumber(saved[3]) == monthly then
        local last = tonumber(saved[1])

        -- the clock went back a little
        if last == period + 1 then
            period = last
        end

        if last == period then
            spent = tonumber(saved[2])
        end
    end

    if monthly == 1 then
        next_s = month_start(period + 1) * 86400
    else
        next_s = (period + 1) * 86400
    end

    if spent >= quota then
        wait_ms = math.max(wait_ms, next_s * 1000 - now_ms)
    end

    if wait_ms == 0 then
        spent = spent + 1
        redis.call('HSET', KEYS[3], 'period', text(period), 'spent',
                   text(spent), 'monthly', text(monthly))
        redis.call('EXPIRE', KEYS[3], next_s - now_s + 86400)
    end
end

if wait_ms > 0 then
    return {0, wait_ms, level, held, spent, paused}
end

if rate > 0 then
    level = level - UNIT
    redis.call('HSET', KEYS[1], 'level', text(level), 'at', text(now_us))
    redis.call('PEXPIRE', KEYS[1],
               text(math.ceil((burst * UNIT - level) / rate / 1000) + 1000))
end

if concurrency > 0 then
    redis.call('ZADD', KEYS[2], text(now_ms + lease), ARGV[6])
    redis.call('PEXPIRE', KEYS[2], lease)
    held = held + 1
end

return {1, 0, level, held, spent, 0}
