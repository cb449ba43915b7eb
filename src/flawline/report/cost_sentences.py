"""What thresholds that were chosen by costs are expected to do, in sentences."""

from flawline.metrics.decisions import CostChoice
from flawline.report.words import rounded_share

TREATED = {"pass": "pass every part", "review": "look at every part", "reject": "reject every part"}


def costs_in_words(choice: CostChoice | None) -> list[str]:
    """Return by what the thresholds were chosen, what is expected of them and what that rests on; nothing where they
    were not chosen by costs."""
    if choice is None:
        return []
    return [_chosen(choice), _rests_on(choice), *_no_review(choice), *_cheaper_unseen(choice)]


def _chosen(choice: CostChoice) -> str:
    costs = choice.costs
    given = f"an escape {costs.escape:g}, an overkill {costs.overkill:g}, a review {costs.review:g}"
    reviewed = choice.shares.reviewed(costs.defect_rate)
    share = f"{rounded_share(reviewed)} of the parts to look at"
    if costs.review_capacity is not None:
        share += f", of {100 * costs.review_capacity:g} % that persons can"
    return (
        f"The thresholds were chosen by cost ({given}; {100 * costs.defect_rate:g} % of the parts are said to be "
        f"defective): {choice.cost:.3g} a part is expected, with {share}."
    )


def _rests_on(choice: CostChoice) -> str:
    return (
        f"This takes defects for as visible as {choice.pseudo_defects} pseudo-defects, of which about "
        f"{rounded_share(choice.shares.escape)} would pass: an estimate and no promise, since real ones may be harder "
        f"to see."
    )


def _no_review(choice: CostChoice) -> list[str]:
    if choice.shares.reviewed_good or choice.shares.reviewed_defective:
        return []
    if choice.costs.review_capacity == 0:
        return ["Nothing is sent to review, since review_capacity is 0."]
    return ["Nothing is sent to review: at these costs, and this capacity for it, no review pays."]


def _cheaper_unseen(choice: CostChoice) -> list[str]:
    """Return that the detector does not pay, where it costs less to treat all parts alike."""
    verdict, cost = min(choice.costs.unseen.items(), key=lambda each: each[1])
    if cost >= choice.cost:
        return []
    return [
        f"To {TREATED[verdict]} costs less, {cost:.3g} a part: at these costs the detector does not pay. Are they "
        f"right, and the share of defective parts?"
    ]
