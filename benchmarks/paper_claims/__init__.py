"""The paper's claims at the scale of one processor core; see docs/paper_claims.md."""
