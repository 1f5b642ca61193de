"""What the OpenAPI run takes for a refusal: 429 too. A token that is not valid is refused with 401, and with 429 where too many
of them came; the run tries hundreds in a minute from one address."""

from schemathesis.specs.openapi import checks

checks.AUTH_REJECTION_STATUSES = frozenset({*checks.AUTH_REJECTION_STATUSES, 429})
