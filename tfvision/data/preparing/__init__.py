"""The writing of prepared data, in this process or by Apache Beam."""
