"""Words that announce an answer without giving one, and ways to decline, in six languages: data of `screen`."""

from __future__ import annotations

import re

_CORE = """
answer answers response reply solution solutions solve solving problem question task step steps think thinking thought
thoughts reasoning explanation conclusion analysis result results boxed respuesta solución solucion resolver
resolvamos problema pregunta paso pasos pensar pensemos pensamiento razonamiento razonemos explicación explicacion
conclusión análisis analisis resultado antwort lösung loesung lösen loesen frage aufgabe schritt schritte denken
denkprozess gedankengang überlegung überlegungen ergebnis erklärung fazit réponse reponse résoudre résolvons problème
étape étapes réfléchir réfléchissons pensons penser raisonnement raisonnons explication résultat
"""
_GLUE = """
a an about analyse analyze and are as at be begin by can carefully certainly course do down final finally first
firstly follow following follows for great have here how i in into is it let like ll look m me my need now of ok okay
on our out process processing break re s shall so start sure text that the then there this through to try ve
understand us want we well will with work working you your al aquí aqui con cuidadosamente de del el ella en es esta
está este esto juntos la las lo los mi para por primero proceso que se su tu un una vamos y voy ahora am auf das dem
den der die dieses diese diesen ein eine einen endgültige für genau gemeinsam hier ich ist lass lassen lasst mal mit
nach nun prozess sie sorgfältig über um uns und von werde wir zu zuerst zum zur sehen à au aux ce cet cette d des du
ensemble est et finale il j je l le les ma nous par pas pour processus soigneusement une va vais voici vos votre
étudions allons
"""
_CORE_PHRASES = """
解决方案 解决 解析 解答 解题 解 答案 回答 答 一步一步 一步步 逐步 分步 步骤 思考过程 思考 思路 推理 分析 问题 题目
最终答案 结论 结果 解決方案 解決 問題 過程 かいせつ 解説 こたえ 答え 一歩ずつ 一歩一歩 一つずつ
ステップバイステップ ステップ 順番に 順を追って 段階的に 考えましょう 考えてみましょう 考え方 考える 考えて 推論
結論 解きましょう 解いて 解く 思考プロセス 最終的な
"""
_GLUE_PHRASES = """
让我们 我们 我 来 地 的 得 是 先 首先 然后 最终 最后 如下 以下 请 好的 好 想 一下 这个 这道 这 该 本 过程 现在 開始
开始 吧 為 为 了 下面 この これ は が を に で の です ます まず それでは では さあ みましょう ましょう しましょう
いきましょう 次 こと 最終
"""

#: A text made of announcing words says nothing if one of these is among them.
CORE = frozenset(_CORE.split())

#: Words that only join the others.
GLUE = frozenset(_GLUE.split())

#: The same for scripts without spaces; longer phrases are matched first.
CORE_PHRASES = tuple(_CORE_PHRASES.split())
GLUE_PHRASES = tuple(_GLUE_PHRASES.split())

_VERBS = "answer|help|assist|determine|say|tell|provide|respond|comply|solve|reveal|comment|verify|confirm|give"
_END = r"\s*(?:[.!?,;\n]|$)"
#: What declines to answer; matched against lower-case text with straight apostrophes.
REFUSALS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b(?:i|we) (?:cannot|can't|can not|could not|couldn't|won't|will not|would not|wouldn't|must not)"
        rf"(?: \w+)? (?:{_VERBS})\b",
        rf"\b(?:i|we)(?: am|'m| are|'re| was| were) (?:unable|not able|not allowed|not going|not willing|unwilling) to"
        rf"(?: \w+)? (?:{_VERBS})\b",
        r"\b(?:cannot|can't|unable to|not able to) (?:answer|help|assist|comply|respond)\b",
        r"\b(?:i|we) (?:refuse|decline)\b",
        rf"\b(?:i|we) (?:do not|don't) know(?: it| that| this| the answer)?{_END}",
        r"\b(?:i|we) have no (?:idea|answer)\b",
        r"\bas an ai\b",
        r"我(?:们)?(?:无法|不能|不会|拒绝|没法)(?:回答|提供|帮助|解答|确定|协助|确认|给出)",
        r"(?:无法|不能|拒绝)回答",
        r"我不知道(?:答案)?\s*(?:[。！,，.!\n]|$)",
        r"(?:お答え|回答|お手伝い|確認)(?:する(?:こと|の))?(?:は|が|を)?(?:でき(?:ません|ない|かねます)|拒否)",
        r"(?:答える|回答する)ことは?が?できません",
        r"(?:わかりません|分かりません)\s*(?:[。！\n]|$)",
        r"\bno puedo (?:\w+ )?(?:responder|contestar|ayudar|determinar|proporcionar|confirmar|decir)\w*\b",
        rf"\bno (?:lo )?sé(?: la respuesta)?{_END}",
        r"\bme niego a\b",
        r"\bich (?:kann|werde|darf|möchte)(?: \w+){0,4} nicht "
        r"(?:beantworten|helfen|sagen|bestimmen|bestätigen|geben)\b",
        rf"\bich weiss (?:es|das|die antwort)? ?nicht{_END}",
        r"\bich weigere mich\b",
        r"\bje ne (?:peux|puis|sais|suis|veux)(?: \w+)? pas (?:\w+ )?"
        r"(?:répondre|aider|déterminer|fournir|confirmer|dire)\b",
        rf"\bje ne sais pas{_END}",
        r"\bje refuse\b",
    )
)
