"""vlae beside other codecs: files of equal size, or curves over their qualities."""
