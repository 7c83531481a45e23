-- Gives a lease back, unless it has expired and is somebody else's by now.
-- KEYS[1] the lease, ARGV[1] what its holder set it to

if redis.call('GET', KEYS[1]) == ARGV[1] then
    return redis.call('DEL', KEYS[1])
end

return 0
