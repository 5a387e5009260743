import pytest
import torch
import torch.nn.functional as F

from paretosearch.methods.label_smoothing import LabelSmoothing, smoothed

LOGITS = torch.randn(16, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.arange(16) % 5


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3])
def test_it_is_the_cross_entropy_to_the_mixed_targets(alpha):
    targets = (1 - alpha) * F.one_hot(LABELS, 5) + alpha / 5
    by_hand = -(targets * LOGITS.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(smoothed(LOGITS, LABELS, F.cross_entropy, alpha), by_hand)
    torch.testing.assert_close(by_hand, F.cross_entropy(LOGITS, LABELS, label_smoothing=alpha))


def test_it_smooths_whatever_loss_it_is_given():
    difference = LabelSmoothing(alpha=0.2).edit_loss(lambda *_: torch.tensor(7.0))(LOGITS, LABELS) - 0.8 * 7
    torch.testing.assert_close(difference, -0.2 * LOGITS.log_softmax(1).mean())


def test_at_zero_it_leaves_the_loss_as_it_is():
    assert LabelSmoothing().edit_loss(F.cross_entropy) is F.cross_entropy
