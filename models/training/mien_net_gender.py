"""Our dense net with two classes, for perceived gender presentation: not served, it teaches mini_xception_gender.

At 64 pixels, UTKFace's own. It may start from a net that knows expressions, all but its head.
"""

import mien_net

TASK = "gender"
SYSTEM = mien_net.SYSTEM
SIZE = 64
RECIPE = dict(epochs=20, lr=2e-3, weight_decay=0.05, batch=64)
FRESH = ("head",)


def build(classes=2, widths=mien_net.WIDTHS):
    return mien_net.MienNet(classes, widths, SIZE)
