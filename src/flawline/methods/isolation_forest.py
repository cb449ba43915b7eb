"""The isolation forest on what an autoencoder makes of patches. Alpdemir 2022, section 5.3."""

from typing import Any

from flawline.methods.novelty import NoveltyScorer


class IsolationForest(NoveltyScorer):
    """The forest of Liu et al. 2012, each tree grown from 256 patches."""

    def make_model(self, seed: int) -> Any:
        from sklearn.ensemble import IsolationForest as Forest  # takes a second to import

        return Forest(n_estimators=self.params.trees, random_state=seed)
