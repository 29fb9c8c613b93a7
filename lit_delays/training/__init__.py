"""How a network learns: schedules, the LightningModule, callbacks."""
