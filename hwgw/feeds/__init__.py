"""Files of market data: BinaryFILE records and MoldUDP64 captures, read in batches of bounded memory.

SPDX-License-Identifier: MIT

source.py finds the messages of a file, columns.py turns a batch into one structured array per message type,
messages.py is hwgw.decode, writers.py writes them as table, JSON, CSV or Parquet; books.py is hwgw.books, summary.py
what remains of a file.
"""
