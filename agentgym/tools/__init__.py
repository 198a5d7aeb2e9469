"""What an agent can call, and the sandboxes that contain what it runs."""

from agentgym.tools.tool import TOOLS, Tool, ToolResult, get_tool, tool

__all__ = ["TOOLS", "Tool", "ToolResult", "get_tool", "tool"]
