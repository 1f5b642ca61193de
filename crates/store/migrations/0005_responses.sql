-- Cases, what belongs to them, and what was done about them. Severities are ranks, 0 (informational) to 4
-- (critical), so that they compare.
CREATE TABLE cases (
  id TEXT PRIMARY KEY,
  subject TEXT NOT NULL,
  title TEXT NOT NULL,
  severity BIGINT NOT NULL,
  state TEXT NOT NULL,
  owner TEXT,
  verdict TEXT,
  merged_into TEXT,
  campaign TEXT,
  opened_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  closed_at BIGINT
) WITHOUT ROWID;
CREATE INDEX cases_by_subject ON cases (subject, state);
CREATE TABLE case_findings (
  finding TEXT PRIMARY KEY,
  case_id TEXT NOT NULL,
  subject TEXT NOT NULL,
  detector TEXT NOT NULL,
  severity BIGINT NOT NULL,
  count BIGINT NOT NULL,
  last_seen BIGINT NOT NULL,
  body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX case_findings_by_case ON case_findings (case_id, subject, last_seen);
CREATE INDEX case_findings_by_detector ON case_findings (detector, last_seen);
CREATE TABLE case_entries (
  id TEXT PRIMARY KEY,
  case_id TEXT NOT NULL,
  at BIGINT NOT NULL,
  kind TEXT NOT NULL,
  made_by TEXT,
  body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX case_entries_by_case ON case_entries (case_id, id);

-- An action is written before it is done. `due_at` is when it has to be looked at next: to be tried, to be
-- taken back, or to be given up. `in_force` is whether it takes anything from its target now,
-- `hits` whether it ever did, with no person having a part in it. `told` is the last state that the journal knows.
CREATE TABLE actions (
  id TEXT PRIMARY KEY,
  case_id TEXT NOT NULL,
  playbook TEXT,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  impact TEXT NOT NULL,
  mode TEXT NOT NULL,
  state TEXT NOT NULL,
  told TEXT,
  automatic BIGINT NOT NULL,
  in_force BIGINT NOT NULL,
  hits BIGINT NOT NULL,
  product TEXT,
  segment TEXT,
  lane TEXT NOT NULL,
  ordered_at BIGINT NOT NULL,
  due_at BIGINT,
  body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX actions_by_case ON actions (case_id);
CREATE INDEX actions_by_target ON actions (target, action, ordered_at);
CREATE INDEX actions_that_hit ON actions (impact, ordered_at) WHERE hits = 1;
CREATE INDEX actions_by_due ON actions (due_at, lane) WHERE due_at IS NOT NULL;
CREATE INDEX actions_in_force ON actions (impact, automatic) WHERE in_force = 1;
CREATE INDEX actions_by_state ON actions (state, id);
CREATE INDEX actions_untold ON actions (id) WHERE told IS NULL OR told <> state;
CREATE TABLE playbook_runs (
  case_id TEXT NOT NULL,
  playbook TEXT NOT NULL,
  subject TEXT NOT NULL,
  severity BIGINT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (case_id, playbook, subject)
) WITHOUT ROWID;
CREATE TABLE playbook_switches (
  playbook TEXT PRIMARY KEY,
  enabled BIGINT NOT NULL,
  changed_by TEXT NOT NULL,
  changed_at BIGINT NOT NULL
) WITHOUT ROWID;

-- What actions hold in force where the power lives.
CREATE TABLE restrictions (
  device TEXT PRIMARY KEY,
  action TEXT NOT NULL,
  topics TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE blocked_addresses (
  action TEXT PRIMARY KEY,
  network TEXT NOT NULL,
  reason TEXT NOT NULL,
  since BIGINT NOT NULL
) WITHOUT ROWID;
