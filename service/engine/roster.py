"""The models that an engine runs, and what is known of each; they come and go while it runs."""

from __future__ import annotations

from service.engine.brief import Brief
from service.engine.cost import Costs
from service.engine.prover import Proof
from service.engine.starts import Starts, passes


class Roster:
    """By the names that jobs give. Each mapping is the one that whoever needs it looks into."""

    def __init__(self, brief_seconds: float) -> None:
        self.sessions: dict[str, Starts] = {}
        self.proofs: dict[str, Proof] = {}
        self.passes: dict[str, int] = {}
        self.costs: dict[str, Costs] = {}
        self.brief = Brief(brief_seconds, self.costs)

    def add(self, model: str, session: Starts, proof: Proof | None, costs: Costs | None) -> None:
        """One more."""
        assert model not in self.sessions, model
        self.costs[model] = costs or Costs.of(session.manifest)
        self.passes[model] = passes(session.manifest)
        self.brief.add(model, session.manifest)
        if proof:
            self.proofs[model] = proof
        self.sessions[model] = session

    def remove(self, model: str) -> None:
        """One less."""
        self.brief.remove(model)
        for known in (self.sessions, self.proofs, self.passes, self.costs):
            known.pop(model, None)
