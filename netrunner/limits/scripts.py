"""The arithmetic of ``account`` again, as scripts that Redis runs: each is one step that nobody comes between.

An account is a hash: for each window when it was opened and how much is used, ``r60:o`` and ``r60:u``, and when its gap
is over, ``g``; times in microseconds of Redis's own clock. Beside it stands a sorted set of those inside, by when they
are given up unless they are renewed.

Whoever waits for an account stands in a line beside it, a sorted set by when each came. Each keeps its place for as
long as its process says so, in a second set by when it is given up. Who stands first is called when there may be room.

This module must not talk to anybody.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple


class Script(NamedTuple):
    """One script, and what Redis calls it once it knows it."""

    text: str
    sha: str


def _script(text: str) -> Script:
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


NEVER_US = 1 << 52
"""Waits that have no end."""
TURNS = "netrunner:turns"
"""The channel on which those are called who stand first in a line."""
STANDS, FULL = -1, -2
"""Answers of ``TURN`` beside those of ``RESERVE``: it stands in the line, which has no room for it."""

RESERVE = _script(f"""
-- KEYS: of each claim its account and who is inside.
-- ARGV: the grant's id, the tokens it is expected to take, the microseconds of a lease, those until a place is free;
--   of each claim: microseconds of its gap, most at once or -1, how many windows;
--   of each window: its name, 1 if it counts tokens, its limit, its microseconds.
-- Returns: 0, or the number of the claim that takes longest; of its limit the number of the window, 0 for those at
--   once, -1 for the gap; microseconds to wait; then of each window: when it was opened, what is used, how long it
--   stays open.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local id, tokens, lease, busy = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local never = {NEVER_US}
local at, refused, which, longest = 5, 0, 0, -1
local claims = {{}}

local function refuse(claim, limit, wait)
  if wait > longest then refused, which, longest = claim, limit, wait end
end

for c = 1, #KEYS / 2 do
  local claim = {{gap = tonumber(ARGV[at]), most = tonumber(ARGV[at + 1]), windows = {{}}}}
  local names = {{'g'}}
  local count = tonumber(ARGV[at + 2])
  at = at + 3
  for w = 1, count do
    local name = ARGV[at]
    claim.windows[w] = {{
      name = name, tokens = ARGV[at + 1] == '1', limit = tonumber(ARGV[at + 2]), length = tonumber(ARGV[at + 3])
    }}
    names[#names + 1] = name .. ':o'
    names[#names + 1] = name .. ':u'
    at = at + 4
  end
  local kept = redis.call('HMGET', KEYS[2 * c - 1], unpack(names))
  for w, window in ipairs(claim.windows) do
    local opened = tonumber(kept[2 * w] or '')
    if opened and now < opened + window.length then
      window.opened, window.used = opened, tonumber(kept[2 * w + 1])
    else
      window.used = 0
    end
    local need = 1
    if window.tokens then need = math.max(1, math.min(tokens, window.limit)) end
    if window.used + need > window.limit then
      refuse(c, w, need > window.limit and never or window.opened + window.length - now)
    end
  end
  if claim.most >= 0 then
    redis.call('ZREMRANGEBYSCORE', KEYS[2 * c], '-inf', now)
    if redis.call('ZCARD', KEYS[2 * c]) >= claim.most then refuse(c, 0, claim.most == 0 and never or busy) end
  end
  local open_at = tonumber(kept[1] or '')
  if open_at and now < open_at then refuse(c, -1, open_at - now) end
  claims[c] = claim
end

local told = {{refused, which, longest}}
for c, claim in ipairs(claims) do
  local account, inside = KEYS[2 * c - 1], KEYS[2 * c]
  local fields, keep = {{}}, 0
  for _, window in ipairs(claim.windows) do
    if refused == 0 then
      window.opened = window.opened or now
      window.used = window.used + (window.tokens and tokens or 1)
      fields[#fields + 1] = window.name .. ':o'
      fields[#fields + 1] = window.opened
      fields[#fields + 1] = window.name .. ':u'
      fields[#fields + 1] = window.used
      keep = math.max(keep, window.opened + window.length - now)
    end
    local opened = window.opened or 0
    told[#told + 1] = opened
    told[#told + 1] = window.used
    told[#told + 1] = window.opened and opened + window.length - now or 0
  end
  if refused == 0 then
    if claim.gap > 0 then
      fields[#fields + 1] = 'g'
      fields[#fields + 1] = now + claim.gap
      keep = math.max(keep, claim.gap)
    end
    if #fields > 0 then
      redis.call('HSET', account, unpack(fields))
      local left = redis.call('PTTL', account)
      keep = math.ceil(keep / 1000) + 1000
      if left < keep then redis.call('PEXPIRE', account, keep) end
    end
    if claim.most >= 0 then
      redis.call('ZADD', inside, now + lease, id)
      redis.call('PEXPIRE', inside, math.ceil(lease / 1000) + 1000)
    end
  end
end
return told
""")

RELEASE = _script(f"""
-- KEYS: as above. ARGV: the grant's id, 1 if it is withdrawn; of each claim how many windows;
--   of each window: its name, when it was opened, what is to be added.
local id, withdrawn, at = ARGV[1], ARGV[2] == '1', 3
for c = 1, #KEYS / 2 do
  local account, inside = KEYS[2 * c - 1], KEYS[2 * c]
  local count = tonumber(ARGV[at])
  at = at + 1
  for _ = 1, count do
    local name, opened, change = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    at = at + 3
    if tonumber(redis.call('HGET', account, name .. ':o') or '') == opened then
      local used = redis.call('HINCRBY', account, name .. ':u', change)
      if withdrawn and used == 0 and name:sub(1, 1) == 'r' then
        redis.call('HDEL', account, name .. ':o', name .. ':u')
      end
    end
  end
  redis.call('ZREM', inside, id)
  local first = redis.call('ZRANGE', account .. '|line', 0, 0)[1]
  if first then redis.call('PUBLISH', '{TURNS}', first) end
end
return 1
""")

RENEW = _script("""
-- KEYS: of each grant the set it is inside. ARGV: the microseconds of a lease, the id of each grant.
local time = redis.call('TIME')
local now, lease = time[1] * 1000000 + time[2], tonumber(ARGV[1])
for n, inside in ipairs(KEYS) do
  redis.call('ZADD', inside, now + lease, ARGV[n + 1])
  redis.call('PEXPIRE', inside, math.ceil(lease / 1000) + 1000)
end
return #KEYS
""")

USED = _script("""
-- KEYS: an account. ARGV: of each window its name and its microseconds. Returns how much of each is used.
local time = redis.call('TIME')
local now, told = time[1] * 1000000 + time[2], {}
for n = 1, #ARGV, 2 do
  local kept = redis.call('HMGET', KEYS[1], ARGV[n] .. ':o', ARGV[n] .. ':u')
  local opened = tonumber(kept[1] or '')
  told[#told + 1] = opened and now < opened + tonumber(ARGV[n + 1]) and tonumber(kept[2]) or 0
end
return told
""")

_LINE = f"""
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local function call_first(line)
  local first = redis.call('ZRANGE', line, 0, 0)[1]
  if first then redis.call('PUBLISH', '{TURNS}', first) end
end

local function drop_dead(line, kept)
  local dead = redis.call('ZRANGEBYSCORE', kept, '-inf', now)
  for _, ticket in ipairs(dead) do
    redis.call('ZREM', line, ticket)
    redis.call('ZREM', kept, ticket)
  end
  return #dead > 0
end

local function keep(line, kept, ticket, lease)
  if not redis.call('ZSCORE', line, ticket) then
    local last = tonumber(redis.call('ZRANGE', line, -1, -1, 'WITHSCORES')[2] or '0')
    redis.call('ZADD', line, math.max(now, last + 1), ticket)
  end
  redis.call('ZADD', kept, now + lease, ticket)
  redis.call('PEXPIRE', line, math.ceil(lease / 1000) + 1000)
  redis.call('PEXPIRE', kept, math.ceil(lease / 1000) + 1000)
end
"""

TURN = _script(f"""
-- KEYS: the account, who is inside, the line, who keeps its place there.
-- ARGV: the ticket, the microseconds of its lease, the most it would wait, how many may stand; then as of RESERVE.
-- Returns: what RESERVE does, when it is this one's turn; else {STANDS}, or {FULL}.
{_LINE}
local function reserve(KEYS, ARGV)
{RESERVE.text}
end

local line, kept, ticket, lease = KEYS[3], KEYS[4], ARGV[1], tonumber(ARGV[2])
local patience, most = tonumber(ARGV[3]), tonumber(ARGV[4])
drop_dead(line, kept)
local stood = redis.call('ZSCORE', line, ticket)
local first = redis.call('ZRANGE', line, 0, 0)[1]
local full = not stood and redis.call('ZCARD', line) >= most
if first and first ~= ticket then
  if full then return {{{FULL}}} end
  keep(line, kept, ticket, lease)
  return {{{STANDS}}}
end
local told = reserve({{KEYS[1], KEYS[2]}}, {{unpack(ARGV, 5)}})
if told[1] == 0 or told[3] > patience then
  if stood then
    redis.call('ZREM', line, ticket)
    redis.call('ZREM', kept, ticket)
    call_first(line)
  end
elseif not full then
  keep(line, kept, ticket, lease)
end
return told
""")

LEAVE = _script(f"""
-- KEYS: a line, who keeps its place there. ARGV: the ticket.
{_LINE}
local first = redis.call('ZRANGE', KEYS[1], 0, 0)[1]
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
if first == ARGV[1] then call_first(KEYS[1]) end
return 1
""")

KEEP = _script(f"""
-- KEYS: of each ticket its line, and who keeps its place there. ARGV: the microseconds of a lease, the tickets.
{_LINE}
for n = 2, #ARGV do
  local line, kept = KEYS[2 * n - 3], KEYS[2 * n - 2]
  local moved = drop_dead(line, kept) or redis.call('EXISTS', line) == 0
  keep(line, kept, ARGV[n], tonumber(ARGV[1]))
  if moved then call_first(line) end
end
return 1
""")
