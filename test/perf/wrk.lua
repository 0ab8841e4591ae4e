-- The events of webhook.go's stream, for wrk: a job begins to wait, one that waited runs, one that ran ends.
-- Arguments: the webhook's secret; milliseconds that each connection waits before a request.
local n, pause, headers = -1, 0, {}
local message = string.rep("a change ", 300)

function init(args)
	headers = { ["X-Gitlab-Event"] = "Job Hook", ["X-Gitlab-Token"] = args[1], ["Content-Type"] = "application/json" }
	pause = tonumber(args[2])
end

function delay()
	return pause
end

function request()
	n = n + 1
	local id, status = math.floor(n / 3) + 1, "pending"
	if n % 3 == 1 then
		id, status = id - 2000, "running"
	elseif n % 3 == 2 then
		id, status = id - 6000, "success"
	end
	id = math.max(id, 1)
	return wrk.format("POST", "/hook", headers, string.format(
		'{"object_kind":"build","build_id":%d,"build_name":"job %d","build_stage":"test","build_status":"%s","pipeline_id":%d,"project_id":%d,"commit":{"message":"%s"}}',
		id, id % 100, status, math.floor(id / 10), 1 + id % 50, message))
end
