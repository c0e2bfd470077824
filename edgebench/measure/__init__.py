"""From a plan to launches: gate, reference, schedule, validity, and what is saved after each launch."""
