-- What wrk sends comes in variables of the environment; what it found is printed as one line of JSON.
local body = os.getenv("LOAD_BODY") or ""
local authorization = os.getenv("LOAD_AUTHORIZATION") or ""

if authorization ~= "" then
  wrk.headers["Authorization"] = authorization
end
if body ~= "" then
  wrk.method = "POST"
  wrk.body = body
  wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
end

function done(summary, latency, requests)
  local errors = summary.errors
  local found = {
    requests = summary.requests,
    microseconds = summary.duration,
    p50 = latency:percentile(50),
    p99 = latency:percentile(99),
    refused = errors.status,
    lost = errors.connect + errors.read + errors.write + errors.timeout,
  }
  local members = {}
  for name, value in pairs(found) do
    members[#members + 1] = string.format('"%s":%.0f', name, value)
  end
  print("FOUND {" .. table.concat(members, ",") .. "}")
end
