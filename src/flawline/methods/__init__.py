"""What the papers add: models, losses, the training procedure, scorers. Plain torch, usable without Kedro."""
