"""Files of market data: BinaryFILE records and MoldUDP64 captures, read in batches of bounded memory.

SPDX-License-Identifier: MIT

source.py finds the messages of a file, columns.py turns a batch into one structured array per message type,
writers.py writes them as table, JSON, CSV or Parquet, summary.py runs them through decoder and books.
"""
