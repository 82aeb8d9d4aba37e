// Where the application listens.
export const ports = { http: 8080, http2: 8081, tls: 8443, grpc: 50_051 } as const;
