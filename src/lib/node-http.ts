// Node's HTTP without its fetch. `import … from 'node:http'` reads every export, and the first to be read of WebSocket and its kin loads all
// of fetch, in each thread: a twentieth of a start. For types it is imported as ever.
export const { createServer, ServerResponse, STATUS_CODES } = process.getBuiltinModule('node:http');
