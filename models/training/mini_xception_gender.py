"""mini-Xception with two classes, for perceived gender presentation (52,658 parameters)."""

from mini_xception import SIZE, SYSTEM, MiniXception

TASK = "gender"
RECIPE = dict(epochs=18, lr=5e-3, weight_decay=0.01, batch=64)


def build(classes=2):
    return MiniXception(classes)
