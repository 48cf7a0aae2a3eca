-- Asks Latchkey about the key in a request. The answer's status is in
-- txn.latchkey_status; only 200 lets the request through, and then the identity
-- headers are set. Whatever goes wrong leaves the status as it was: 503.

local url = "http://" .. (os.getenv("LATCHKEY") or "127.0.0.1:8080") .. "/gateway/" .. (os.getenv("LATCHKEY_GATEWAY_TOKEN") or "") .. "/"

local key_headers = { "authorization", "x-api-key" }
local signature_headers = { "signature-input", "signature", "content-digest" }
local identity = {
	"x-latchkey-subject", "x-latchkey-key-id", "x-latchkey-organization", "x-latchkey-partner", "x-latchkey-scopes", "x-latchkey-role",
	"x-latchkey-assertion",
}

-- every line of a header; HAProxy counts them from 0
local function lines(headers, name)
	local given = headers[name]
	if given == nil then
		return nil
	end
	local list = {}
	local i = 0
	while given[i] ~= nil do
		list[#list + 1] = given[i]
		i = i + 1
	end
	return list
end

local function first(headers, name)
	local given = headers[name]
	return given and given[0] or ""
end

core.register_action("latchkey", { "http-req" }, function(txn)
	local sent = txn.http:req_get_headers()
	local ask = {
		["x-original-method"] = { txn.sf:method() },
		["x-original-host"] = lines(sent, "host"),
		["x-original-uri"] = { txn.sf:pathq() },
		["x-real-ip"] = { tostring(txn.sf:src()) },
	}
	-- what proxies before this one wrote, where the gateway trusts some
	for _, name in ipairs({ "x-forwarded-for", "forwarded" }) do
		ask[name] = lines(sent, name)
	end
	for _, name in ipairs(key_headers) do
		ask[name] = lines(sent, name)
	end
	for _, name in ipairs(signature_headers) do
		ask[name] = lines(sent, name)
	end
	local answer = core.httpclient():get({ url = url, headers = ask, timeout = 5000 })
	if answer == nil or answer.status == nil then
		return
	end
	local told = answer.headers or {}
	txn:set_var("txn.latchkey_code", first(told, "x-latchkey-code"))
	txn:set_var("txn.latchkey_retry", first(told, "retry-after"))
	if answer.status == 200 then
		for _, name in ipairs(identity) do
			txn.http:req_set_header(name, first(told, name))
		end
	end
	txn:set_var("txn.latchkey_status", answer.status)
end)
