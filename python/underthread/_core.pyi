# It has the names and signatures of stock `_thread`, in every version.
from _thread import *
