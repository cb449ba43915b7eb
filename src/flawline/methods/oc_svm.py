"""The one-class support vector machine on what an autoencoder makes of patches. Alpdemir 2022, section 5.3."""

from typing import Any

from flawline.methods.novelty import NoveltyScorer


class OCSVM(NoveltyScorer):
    """The machine of Schoelkopf et al. 2001 with a radial basis function, its width the one that scikit-learn calls
    scale."""

    def make_model(self, seed: int) -> Any:
        from sklearn.svm import OneClassSVM  # takes a second to import

        return OneClassSVM(kernel="rbf", gamma="scale", nu=self.params.nu)
