# It has the names and signatures of the interpreter's own, in every version.
from _thread import *
