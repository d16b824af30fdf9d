"""`python -m hwgw.cli` is the console script.

SPDX-License-Identifier: MIT
"""

from hwgw.cli import main

main()
