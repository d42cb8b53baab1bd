"""JSON Schemas of the core: training configuration, run record, certificate."""
