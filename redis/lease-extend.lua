-- Extends a lease, unless it has expired and is somebody else's by now.
-- KEYS[1] the lease, ARGV[1] what its holder set it to, ARGV[2] ms from now

if redis.call('GET', KEYS[1]) == ARGV[1] then
    return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end

return 0
