"""The lab: throw-away servers, mail, faults, and an independent reader to test and measure against."""
