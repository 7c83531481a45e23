-- Redis hits by lua-resty-redis, as one writes them with it: the gateway's
-- record as PNG and as JSON, and the PNG out of a document kept as a string.

local cjson = require "cjson.safe"
local redis = require "nginx.redis"

local _M = { port = 0 }


local function ask(command, key, ...)
    local red = redis:new()
    red:set_timeout(1000)

    local ok, err = red:connect("127.0.0.1", _M.port)
    if not ok then
        ngx.log(ngx.ERR, "connect: ", err)
        return ngx.exit(502)
    end

    local value, err = red[command](red, key, ...)
    if not value then
        ngx.log(ngx.ERR, command, " ", key, ": ", err)
        return ngx.exit(502)
    end

    red:set_keepalive(60000, 64)

    return value
end


local function answer(mime, body, etag)
    ngx.header["Content-Type"] = mime
    ngx.header["Content-Length"] = #body
    ngx.header["Cache-Control"] = "public, max-age=31536000, immutable"
    ngx.header["ETag"] = etag and '"' .. etag .. '"'
    ngx.print(body)
end


function _M.png(key)
    local value = ask("hmget", "binarize:" .. key, "png", "etag")
    if value[1] == ngx.null then
        return ngx.exit(404)
    end

    answer("image/png", value[1], value[2])
end


function _M.json(key)
    local value = ask("hmget", "binarize:" .. key, "png", "doc", "etag")
    if value[1] == ngx.null then
        return ngx.exit(404)
    end

    local document = cjson.decode(value[2])
    document.results[1].data = ngx.encode_base64(value[1])

    answer("application/json", cjson.encode(document), value[3])
end


function _M.document(key)
    local value = ask("get", "document:" .. key)
    if value == ngx.null then
        return ngx.exit(404)
    end

    local document = cjson.decode(value)

    answer("image/png", ngx.decode_base64(document.results[1].data))
end


return _M
