"""The residual image of an autoencoder as the anomaly map (Schneider 2022, Eq. 1)."""

from flawline.methods.maps import image_score, smooth
from flawline.methods.one_class import Inputs, OneClassScorer, Scored, State


class ResidualMap(OneClassScorer):
    """The map is the residual image (H, W), smoothed; the score its maximum. Nothing is learned.

    Source: Schneider 2022, section 2; the smoothing is ours."""

    learns = False
    sees_maps = True
    one_size = False

    def score(self, state: State, inputs: Inputs) -> Scored:
        found = smooth(inputs.views[0], self.params.smoothing)
        return Scored(image_score(found), found)
