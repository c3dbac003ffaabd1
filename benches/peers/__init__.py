"""The parts of benches/compare: its servers, the programs it runs, and its scenarios."""
