"""mini-Xception with two classes, for perceived gender presentation (52,658 parameters)."""

import mini_xception

TASK = "gender"
SYSTEM = mini_xception.SYSTEM
SIZE = mini_xception.SIZE
RECIPE = dict(epochs=18, lr=5e-3, weight_decay=0.01, batch=64)


def build(classes=2):
    return mini_xception.MiniXception(classes)
