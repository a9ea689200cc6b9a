"""What a study is: its config and pre-registration, problems in them, seeds, artefacts and provenance."""
