CREATE TABLE counters (name TEXT PRIMARY KEY, value BIGINT NOT NULL) WITHOUT ROWID;
CREATE TABLE settings (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE segments (id TEXT PRIMARY KEY, description TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE products (
  id TEXT PRIMARY KEY,
  description TEXT NOT NULL,
  default_segment TEXT NOT NULL,
  inventory_only BIGINT NOT NULL,
  created_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE TABLE devices (
  id TEXT PRIMARY KEY,
  product TEXT NOT NULL,
  labels TEXT NOT NULL,
  lifecycle TEXT NOT NULL,
  segment TEXT NOT NULL,
  trust BIGINT NOT NULL,
  reasons TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  registered_at BIGINT NOT NULL,
  last_seen_at BIGINT
) WITHOUT ROWID;
CREATE TABLE services (
  id TEXT PRIMARY KEY,
  description TEXT NOT NULL,
  created_at BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE grants (
  id TEXT PRIMARY KEY,
  scope_kind TEXT NOT NULL,
  scope_id TEXT NOT NULL,
  pattern TEXT NOT NULL,
  publish BIGINT NOT NULL,
  subscribe BIGINT NOT NULL,
  receive BIGINT NOT NULL,
  retain BIGINT NOT NULL,
  created_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE TABLE policies (
  version BIGINT PRIMARY KEY,
  text TEXT NOT NULL,
  tests TEXT NOT NULL,
  author TEXT NOT NULL,
  reason TEXT NOT NULL,
  applied_at BIGINT NOT NULL
);

CREATE TABLE enrolment_tokens (
  id TEXT PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  scope_kind TEXT NOT NULL,
  scope_id TEXT NOT NULL,
  uses_left BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  revoked BIGINT NOT NULL,
  note TEXT NOT NULL,
  created_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE TABLE api_tokens (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  hash BLOB NOT NULL UNIQUE,
  scopes TEXT NOT NULL,
  service TEXT,
  expires_at BIGINT,
  revoked BIGINT NOT NULL,
  last_used_at BIGINT,
  created_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE TABLE certificates (
  serial TEXT PRIMARY KEY,
  principal TEXT NOT NULL,
  issuer TEXT NOT NULL,
  not_before BIGINT NOT NULL,
  not_after BIGINT NOT NULL,
  der BLOB NOT NULL,
  issued_at BIGINT NOT NULL,
  revoked_at BIGINT,
  revocation_reason TEXT
) WITHOUT ROWID;
CREATE INDEX certificates_by_principal ON certificates (principal);
CREATE INDEX certificates_revoked ON certificates (revoked_at) WHERE revoked_at IS NOT NULL;

CREATE TABLE ledger (
  seq BIGINT PRIMARY KEY,
  body TEXT NOT NULL,
  leaf BLOB NOT NULL,
  chain BLOB NOT NULL
);
CREATE TABLE outbox (
  pos INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  principal TEXT,
  body TEXT NOT NULL
);
CREATE TABLE cursors (consumer TEXT PRIMARY KEY, pos BIGINT NOT NULL) WITHOUT ROWID;
CREATE TABLE idempotency (
  name TEXT PRIMARY KEY,
  fingerprint BLOB NOT NULL,
  status BIGINT,
  body BLOB,
  created_at BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE mqtt_sessions (client_id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE mqtt_queue (
  client_id TEXT NOT NULL,
  seq BIGINT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (client_id, seq)
) WITHOUT ROWID;
CREATE TABLE mqtt_received (
  client_id TEXT NOT NULL,
  packet_id BIGINT NOT NULL,
  PRIMARY KEY (client_id, packet_id)
) WITHOUT ROWID;
CREATE TABLE mqtt_retained (topic TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
