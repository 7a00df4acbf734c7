-- wrk: sends prepared requests in their order, again and again, and tells what came of it as JSON.
-- The file holds each request's length as a line of digits, and then its bytes.

local requests, turn = {}, 0

function init(args)
   local file = assert(io.open(args[1], "rb"))
   local length = file:read("*l")
   while length do
      requests[#requests + 1] = file:read(tonumber(length))
      length = file:read("*l")
   end
   file:close()
end

function request()
   turn = turn % #requests + 1
   return requests[turn]
end

function done(summary, latency, _)
   local failed = summary.errors
   local all = failed.connect + failed.read + failed.write + failed.status + failed.timeout
   local line = '{"requests": %d, "seconds": %f, "failed": %d, "p50_ms": %f, "p99_ms": %f}\n'
   local p50, p99 = latency:percentile(50) / 1e3, latency:percentile(99) / 1e3
   io.write(line:format(summary.requests, summary.duration / 1e6, all, p50, p99))
end
