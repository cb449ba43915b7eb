from flawline.metrics.decisions import CostChoice, Costs, Shares
from flawline.report.cost_sentences import costs_in_words

COSTS = Costs(escape=100, overkill=5, review=1, defect_rate=0.02)
SHARES = Shares(overkill=0.04, reviewed_good=0.1, escape=0.05, reviewed_defective=0.2)


def test_a_choice_is_told_with_its_costs_and_what_it_rests_on():
    assert costs_in_words(CostChoice(COSTS, SHARES, 54)) == [
        "The thresholds were chosen by cost (an escape 100, an overkill 5, a review 1; 2 % of the parts are said to be "
        "defective): 0.398 a part is expected, with 10 % of the parts to look at.",
        "This takes defects for as visible as 54 pseudo-defects, of which about 5.0 % would pass: an estimate and no "
        "promise, since real ones may be harder to see.",
    ]
    told, *_ = costs_in_words(CostChoice(Costs(100, 5, 1, 0.02, review_capacity=0.125), SHARES, 54))
    assert told.endswith("with 10 % of the parts to look at, of 12.5 % that persons can.")
    assert costs_in_words(None) == []


def test_that_no_review_pays_is_told_or_that_there_is_no_capacity_for_one():
    without = Shares(0.04, 0.0, 0.05, 0.0)
    told = costs_in_words(CostChoice(Costs(100, 5, 20, 0.02), without, 54))
    assert told[2] == "Nothing is sent to review: at these costs, and this capacity for it, no review pays."
    told = costs_in_words(CostChoice(Costs(100, 5, 1, 0.02, review_capacity=0), without, 54))
    assert told[2] == "Nothing is sent to review, since review_capacity is 0."


def test_costs_at_which_all_parts_had_better_be_treated_alike_are_told():
    cheap = {"pass": Costs(1, 5, 1, 0.02), "reject": Costs(100, 0.1, 1, 0.02), "review": Costs(100, 5, 0.01, 0.02)}
    for verdict, costs in cheap.items():
        *_, told = costs_in_words(CostChoice(costs, SHARES, 54))
        assert told.startswith(f"To {'look at' if verdict == 'review' else verdict} every part costs less, ")
        assert told.endswith(
            "at these costs the detector does not pay. Are they right, and the share of defective parts?"
        )
