-- One rate for many processes. KEYS[1] is one hash: the theoretical arrival time (when the bucket is full again), the end
-- of a pause, and what each process that called in the last 5 s names. ARGV: the process; the epoch it knows, or an empty
-- text; the attempts it wants and the tokens of each; the time from one token to the next in nanoseconds, the burst and
-- what is counted; a pause in microseconds.
--
-- All times in here are microseconds since the hash was made, by the store's clock. Where that clock is set back it is
-- taken to stand still, so that nothing waits for it to come again. The hash expires by itself, once nothing in it differs
-- from an empty one.

-- Before version 7 a script that reads the clock has to be replicated by what it writes.
if redis.replicate_commands then redis.replicate_commands() end

local SEEN, HORIZON, OVERLAP, KEPT = 5000000, 50000, 100000, 60000

local key, me, known = KEYS[1], ARGV[1], ARGV[2]
local want, cost = tonumber(ARGV[3]), tonumber(ARGV[4])
local token, burst, unit = tonumber(ARGV[5]) / 1000, tonumber(ARGV[6]), ARGV[7]

local clock = redis.call('TIME')
clock = tonumber(clock[1]) * 1000000 + tonumber(clock[2])

local hash, fields = {}, redis.call('HGETALL', key)
for i = 1, #fields, 2 do hash[fields[i]] = fields[i + 1] end
-- A hash of somebody else's is neither read nor written, and so does not expire.
if #fields > 0 and not (hash.zero and hash.epoch) then return redis.error_reply('WRONGTYPE a hash that is no rate') end
local number = function(name, default) return tonumber(hash[name] or '') or default end
local zero = number('zero', clock)
local full, pause, last = number('full', 0), number('pause', 0), number('last', 0)
local epoch = hash.epoch or me .. '-' .. string.format('%.0f', clock)
local emptied = hash.emptied or '0'
if clock - zero < last then zero = clock - last end
local now = clock - zero

-- The lowest rate and burst of those who are here hold.
local active, differs, gone = 1, 0, {}
for field, value in pairs(hash) do
  if string.sub(field, 1, 2) == 'p:' and field ~= 'p:' .. me then
    local seen, theirs, their_burst, their_unit = string.match(value, '^(%S+) (%S+) (%S+) (%S+)$')
    seen, theirs, their_burst = tonumber(seen), tonumber(theirs), tonumber(their_burst)
    if not seen or not theirs or not their_burst or now - seen > SEEN then
      gone[#gone + 1] = field
    else
      active = active + 1
      if math.abs(theirs - token) > token / 1000000 or their_burst ~= burst or their_unit ~= unit then differs = 1 end
      token, burst = math.max(token, theirs), math.min(burst, their_burst)
    end
  end
end

-- Who knows another hash than this one has seen it vanish. What was granted by the old one may be used for a moment yet,
-- and how much of the burst is left is not known: the bucket is empty after that moment.
local forgot = 0
if known ~= '' and known ~= epoch then
  forgot = 1
  if emptied == '0' then
    full = math.max(full, now + OVERLAP + burst * token)
    emptied = '1'
  end
end

local asked = tonumber(ARGV[8])
if asked > 0 then pause = math.max(pause, now + asked) end

-- Attempts of `cost` tokens: the first at `due`, and each `step` after the one before, earlier by what is left of the burst.
local step, room = token * cost, math.max(burst - cost, 0) * token
local granted, due, slack = 0, now, 0
if want > 0 then
  granted = math.min(want, math.max(1, math.floor(HORIZON / (step * active))))
  due = math.max(full - room, now, pause)
  local base = math.max(full, due)
  slack = due - base + room
  full = base + granted * step
end

local text = function(number) return string.format('%.3f', number) end
redis.call('HSET', key, 'zero', string.format('%.0f', zero))
redis.call('HSET', key, 'epoch', epoch)
redis.call('HSET', key, 'emptied', emptied)
redis.call('HSET', key, 'full', text(full))
redis.call('HSET', key, 'pause', text(pause))
redis.call('HSET', key, 'last', text(now))
redis.call('HSET', key, 'p:' .. me, text(now) .. ' ' .. string.format('%.6f', tonumber(ARGV[5]) / 1000) .. ' ' .. ARGV[6] .. ' ' .. unit)
if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
redis.call('PEXPIRE', key, string.format('%.0f', math.max(full, pause, now) / 1000 - now / 1000 + KEPT))

-- Whole nanoseconds as text: Redis cuts numbers, and small ones below zero are what rounding left.
local nanos = function(micros) return string.format('%.0f', math.max(math.ceil(micros * 1000), 0) + 0) end
return {
  epoch, granted, active, differs, forgot, nanos(now), nanos(due - now), nanos(step), nanos(slack - 0.001),
  nanos(pause - now),
}
