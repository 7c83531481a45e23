-- Gives a lease back, unless it has expired and is somebody else's by now,
-- and tells who waits for it.
-- KEYS[1] the lease, ARGV[1] what its holder set it to,
-- ARGV[2] the channel of landings, ARGV[3] what landed; "" if nothing did

if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
end

if ARGV[3] ~= '' then
    redis.call('PUBLISH', ARGV[2], ARGV[3])
end

return 0
