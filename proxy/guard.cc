#include "proxy/guard.h"
