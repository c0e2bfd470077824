"""Phones and boards that run Android: facts, temperatures, state, settings that are put back, and what stands in the way."""
