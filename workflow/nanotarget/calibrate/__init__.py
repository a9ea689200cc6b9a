"""Learning from the conjoint: average effects of levels, learners of responses, individual effects."""
