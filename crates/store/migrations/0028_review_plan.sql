-- Who is to review access, how often and until when: one row, or none where nobody planned it.
CREATE TABLE access_review_plan (
  one BIGINT PRIMARY KEY CHECK (one = 1),
  owner TEXT NOT NULL,
  every_days BIGINT NOT NULL,
  due_at BIGINT NOT NULL,
  planned_by TEXT NOT NULL,
  planned_at BIGINT NOT NULL
);
