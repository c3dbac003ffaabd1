# The API of benches/connections in WEBrick: an answer takes 4 ms. Argument: the port.
require 'webrick'

server = WEBrick::HTTPServer.new(Port: ARGV[0].to_i, BindAddress: '127.0.0.1', AccessLog: [],
                                 Logger: WEBrick::Log.new(File::NULL))
server.mount_proc('/') do |request, response|
  sleep 0.004
  response['Content-Type'] = 'application/json'
  response.body = "{\"sku\":\"#{request.path.split('/').last}\"}"
end
server.start
